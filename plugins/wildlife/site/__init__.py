"""What a site of several containers needs beside Airflow's own programs (docs/operating.md)."""
