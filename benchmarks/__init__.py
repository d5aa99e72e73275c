"""``make bench``: what the product does, against the plain way of doing it, on this machine.

Each figure is measured in one run with its counterpart, in turns, and the best of each counts:
these are comparisons, not records. ``make bench-full`` takes a whole archive through the store.
"""
