"""What people see of a run: the console's table, pictures and a self-contained HTML report."""
