"""Where rows come from: the stream of a running acquisition, its growing files, a finished file."""
