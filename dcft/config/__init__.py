"""From conf/ to a checked, named cell: schema, composition, identity, sources of training values."""
