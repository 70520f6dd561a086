"""What keeps tests away from object stores on the internet."""
