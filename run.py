"""The one entry: `python run.py +experiment=busi_zeroshot`; see `python run.py --help`."""

from medsam_exp.cli.run import main  # the completion of fish looks for "@hydra.main" here

if __name__ == "__main__":
    main()
