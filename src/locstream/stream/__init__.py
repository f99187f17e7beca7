"""What goes over the wire: messages, where to connect, how to subscribe."""
