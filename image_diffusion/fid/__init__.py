"""Door: FID; its code is in given/images/fid/."""
