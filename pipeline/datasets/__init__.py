"""The data sets that can be studied: what is known about them, where they come from, how they are checked.

facts    what is known beforehand: names, sizes, hashes, images of each class
mirrors  the published files: which sources, in which order
transfer one published file from one source
digits   the sample that scikit-learn ships, in the form of the published files
parts    the training and the test part, read from the four files and checked
"""
