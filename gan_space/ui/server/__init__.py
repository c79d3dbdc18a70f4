"""What keeps the server sound: hosts, files, visits, stops, and checked endpoints for programs."""
