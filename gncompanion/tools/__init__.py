"""What every room may use and none is about: paths, files, names. No torch, no science."""
