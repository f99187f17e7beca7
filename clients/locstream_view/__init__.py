"""The program that shows a running acquisition, or a finished one, as a picture.

`model` is the picture without a window: it works in a notebook. `following` feeds it from the wire and from
files, in a thread. `window` is what Qt draws; nothing is calculated there.
"""
