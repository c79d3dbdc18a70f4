"""A photo with the faces in it: opened once, changed at any size, and put together again."""
