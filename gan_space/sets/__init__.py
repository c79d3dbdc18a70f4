"""Sets of portraits from a person's own photos: what a photo allows, the plan, the frame, and one portrait after it."""
