"""What the paper prints: figures, parameter formulas, audit."""
