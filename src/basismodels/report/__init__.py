"""The report: pictures, words, tables, one HTML file and the same figures on the terminal."""
