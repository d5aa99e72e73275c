"""What Airflow's triggerer runs for the workflow."""
