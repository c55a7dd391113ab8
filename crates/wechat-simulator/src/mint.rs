//! Random values in WeChat's shapes; with a seed, the same ones in every run.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Makes every ticket, token, code and nonce of one simulator.
pub(crate) struct Mint(StdRng);

impl Mint {
    pub(crate) fn random() -> Self {
        Self(rand::make_rng())
    }

    pub(crate) fn seeded(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    pub(crate) fn ticket(&mut self) -> String {
        format!("ticket@@@{}", self.opaque::<64>())
    }

    pub(crate) fn pre_auth_code(&mut self) -> String {
        format!("preauthcode@@@{}", self.opaque::<48>())
    }

    pub(crate) fn auth_code(&mut self) -> String {
        format!("queryauthcode@@@{}", self.opaque::<48>())
    }

    pub(crate) fn refresh_token(&mut self) -> String {
        format!("refreshtoken@@@{}", self.opaque::<32>())
    }

    pub(crate) fn access_token(&mut self) -> String {
        format!("73_{}", self.opaque::<96>())
    }

    /// A nonce as WeChat sends it: decimal digits.
    pub(crate) fn nonce(&mut self) -> String {
        self.0
            .random_range(100_000_000_u32..2_000_000_000)
            .to_string()
    }

    /// A message's id: 64 bits, of which WeChat uses fewer.
    pub(crate) fn message_id(&mut self) -> u64 {
        self.0
            .random_range(10_000_000_000_000_000..100_000_000_000_000_000)
    }

    /// The 16 bytes before a sealed text. WeChat's are printable too.
    pub(crate) fn sealing_bytes(&mut self) -> [u8; 16] {
        let mut random = [0; 16];
        HEXLOWER.encode_mut(&self.0.random::<[u8; 8]>(), &mut random);
        random
    }

    /// The request id that ends every `errmsg`.
    pub(crate) fn rid(&mut self) -> String {
        let [a, b, c]: [u32; 3] = self.0.random();
        format!("{a:08x}-{b:08x}-{c:08x}")
    }

    fn opaque<const BYTES: usize>(&mut self) -> String {
        let mut bytes = [0; BYTES];
        self.0.fill(&mut bytes);
        BASE64URL_NOPAD.encode(&bytes)
    }
}
