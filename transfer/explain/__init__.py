"""What a trained network looks at: Grad-CAM of a layer, and what the attention modules answer, for one image."""
