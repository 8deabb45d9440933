"""What both exact engines share: rows of each side, one step of a pair, the data of a program."""
