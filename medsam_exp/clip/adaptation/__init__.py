"""Which weights of a CLIP network a training changes: one file each, one choice in conf/adaptation."""
