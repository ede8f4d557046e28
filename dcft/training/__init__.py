"""One cell: configuration in, record out."""
