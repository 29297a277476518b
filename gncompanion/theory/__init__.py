"""What the notebooks compute and no training needs: distances, optimal critics, gradients taken apart."""
