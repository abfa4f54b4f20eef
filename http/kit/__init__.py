"""What fronts share and no front owns: id codecs, times, fields, links, file transfer."""
