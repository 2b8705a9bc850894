"""What helps a small nnU-Net against wrong labels? `README.md` has the question and what came out."""
