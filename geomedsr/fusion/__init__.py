"""Multi-image super-resolution: several images of one place made into one finer image.

The traditional way: frames are registered to a fraction of a pixel, and iterative back-projection looks for the fine
image that all of them could be views of (Irani and Peleg 1991, CVGIP 53). It starts from the single-image result of a
model, and stays near it where the frames say nothing.
"""
