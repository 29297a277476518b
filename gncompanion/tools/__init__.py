"""What every room may use and none is about: paths, files, names, checks. No torch, no science."""
