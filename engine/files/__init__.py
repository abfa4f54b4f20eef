"""Files: uploads, what they are by their content, and the small pictures that are made of images."""
