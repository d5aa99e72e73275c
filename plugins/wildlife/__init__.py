"""What Airflow needs to run the workflow and show its reports. Imports no TensorFlow, ever."""
