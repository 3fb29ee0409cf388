"""The page kit: the parts of a page, and how they become one self-contained HTML file."""
