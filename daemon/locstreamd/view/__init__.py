"""The view lane: latest wins, drops are counted, nothing here slows the record lane."""
