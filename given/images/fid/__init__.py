"""FID, KID and the inception score."""
