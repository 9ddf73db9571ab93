"""Width searches (RARTS thesis, Section 4.2): which channels of a network can go.

Gates multiply the channels inside blocks and train with the weights; channels are then ranked, and the least are cut
out. What is left is a `WidthPlan`, and weights to go on from.
"""
