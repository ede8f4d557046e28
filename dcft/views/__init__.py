"""Tables, figures and the report over records. Views run no cell."""
