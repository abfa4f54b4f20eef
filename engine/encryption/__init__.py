"""Keys of rooms: their cryptography, and who holds them."""
