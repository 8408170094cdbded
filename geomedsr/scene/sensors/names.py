"""Names that producers give to bands that hold no measured values."""

#: Names that producers give to class and bit-flag bands (Landsat, Sentinel-2, HLS, MODIS, Planet, PRISMA, NLCD …).
#: Sentinel-2's MSK_CLDPRB and MSK_SNWPRB are probabilities in percent.
CLASS_NAMES = (
    r"(?:^|[^a-z0-9])(?:scl|fmask|cfmask|bqa|qa60|qa[_ ]?pixel|qa[_ ]?radsat|qa[_ ]?aerosol|[a-z0-9_]*_qa|udm2?"
    r"|qflags?|quality[_ ]?flags?|pixel[_ ]?quality|vi[_ ]?quality|(?:cloud|water)[_ ]?mask"
    r"|msk_(?!cldprb|snwprb)[a-z]+|land[_ ]?cover(?:[_ ]?\d{4}|_l48)?|lc_type\d|classification(?:[_ ]?map)?)"
)

#: Words that mean classes or flags only when they are the whole name.
CLASS_WORDS = {"class", "classes", "label", "labels", "mask", "datamask", "clm", "stateqa", "qc", "category"}
