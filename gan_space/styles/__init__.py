"""What a look is, and how it gets into a face and the photo around it."""
