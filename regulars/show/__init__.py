"""What came out of the work: `show_` prints it as tables, `summarise_` is for JSON."""
