"""From a data set's published archives to the folders that training reads (gnexp data prepare); without torch.

One file a data set, which the kind of data names in `archives`.
"""
