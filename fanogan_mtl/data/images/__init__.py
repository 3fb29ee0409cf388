"""One image file becomes pixels, without trusting it: the same code for training and for serving."""
