"""What can be measured: pure functions on keypoints, pictures and readings, one file a kind."""
