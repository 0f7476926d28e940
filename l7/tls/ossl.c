#include "l7/tls/ossl.h"
