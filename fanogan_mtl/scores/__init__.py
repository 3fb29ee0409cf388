"""Images scored by a served model: which files, the table of their scores, and the pages that show them."""
