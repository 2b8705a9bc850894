"""Medical volumes and single DICOM images: pixels and geometry.

One frame everywhere: array axes (i, j, k), and a 4 x 4 affine that takes (i, j, k, 1) to millimetres in DICOM's
patient frame LPS (x to the patient's left, y to the back, z to the head). i runs along a row of a stored DICOM image,
j along a column, k from slice to slice; of NIfTI files they are the file's own axes.
"""
