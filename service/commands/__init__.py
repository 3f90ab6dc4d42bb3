"""The commands behind `firstsight items`, `users`, `bundle` and `replay`."""
