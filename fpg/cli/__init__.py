"""The programs: one module per console script; `entry` turns errors into exit codes."""
