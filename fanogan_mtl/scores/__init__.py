"""Scores images by a served model: finds the files, writes the table of scores, and makes the pages that show them."""
