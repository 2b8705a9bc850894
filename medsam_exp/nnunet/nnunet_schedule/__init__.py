"""Learning rates of nnU-Net's training, epoch by epoch; one file each, one choice in conf/nnunet_schedule."""
