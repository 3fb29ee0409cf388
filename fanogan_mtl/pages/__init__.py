"""The page kit: what a page holds, and how that becomes one HTML file that needs nothing but itself."""
