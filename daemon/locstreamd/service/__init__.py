"""What ties the lanes together: configuration, the acquisition, control, the verbs."""
