"""Pictures of people as files hold them, opened into pixels: one way in for photos, references, packs and training."""
