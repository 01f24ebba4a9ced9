"""What the workers under test run; imported by their processes."""
