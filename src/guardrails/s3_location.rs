//! Whether a script's location is in Amazon S3: `s3://`, or one of S3's own HTTPS addresses.
//!
//! Strict on purpose. Whoever fetches the script may read an odd URL differently, so anything but the plain form of
//! an address (a port, a user, a percent sign in the host, a name that only ends like S3's) counts as outside S3.

/// Ends of the host names of AWS's services, by partition (botocore's `partitions.json`, `dnsSuffix`).
const DNS_SUFFIXES: [(&str, &str); 8] = [
    ("aws", "amazonaws.com"),
    ("aws-cn", "amazonaws.com.cn"),
    ("aws-eusc", "amazonaws.eu"),
    ("aws-iso", "c2s.ic.gov"),
    ("aws-iso-b", "sc2s.sgov.gov"),
    ("aws-iso-e", "cloud.adc-e.uk"),
    ("aws-iso-f", "csp.hci.ic.gov"),
    ("aws-us-gov", "amazonaws.com"),
];

/// Whether `location` names an object of S3 in `partition`: by `s3://`, or over HTTPS in the virtual-hosted or the
/// path style (Amazon S3 User Guide, "Virtual hosting of general purpose buckets"), dual-stack and FIPS endpoints and
/// those with a dash before the Region included. Transfer acceleration, access points and websites are not.
pub fn is_in_s3(location: &str, partition: &str) -> bool {
    if location.starts_with("s3://") {
        return true;
    }
    let Some(url) = location.strip_prefix("https://") else {
        return false;
    };
    let end = url.find(['/', '?', '#']).unwrap_or(url.len());
    let (host, rest) = url.split_at(end);
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    let host = host.to_ascii_lowercase();
    if !host
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte))
    {
        return false;
    }
    let suffix = DNS_SUFFIXES.iter().find(|(name, _)| *name == partition);
    let service = suffix.and_then(|(_, suffix)| host.strip_suffix(suffix)?.strip_suffix('.'));
    let labels: Vec<&str> = service
        .into_iter()
        .flat_map(|service| service.split('.'))
        .collect();
    match bucket_labels(&labels) {
        None => false,
        Some([]) => names_bucket_and_key(path),
        Some(bucket) => bucket.iter().all(|label| !label.is_empty()) && path.len() > "/".len(),
    }
}

/// What stands before S3's own labels: the bucket's name, or nothing in the path style. `None`: not S3's.
fn bucket_labels<'l>(labels: &'l [&'l str]) -> Option<&'l [&'l str]> {
    match labels {
        [bucket @ .., "s3" | "s3-fips", "dualstack", region] if is_region(region) => Some(bucket),
        [bucket @ .., "s3" | "s3-fips", region] if is_region(region) => Some(bucket),
        [bucket @ .., "s3"] => Some(bucket),
        [bucket @ .., legacy] if legacy.strip_prefix("s3-").is_some_and(is_region) => Some(bucket),
        _ => None,
    }
}

/// The shape of a Region's name, like `us-gov-west-1`: two to four letters, words, and a digit. S3 is in more Regions
/// than PCS is, so the contract's list would be too short.
fn is_region(label: &str) -> bool {
    let mut words = label.split('-');
    let is_word = |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let area = words
        .next()
        .is_some_and(|word| is_word(&word) && (2..=4).contains(&word.len()));
    let number = words
        .next_back()
        .is_some_and(|word| word.len() == 1 && word.bytes().all(|byte| byte.is_ascii_digit()));
    let between: Vec<&str> = words.collect();
    area && number && !between.is_empty() && between.iter().all(is_word)
}

/// `/bucket/key`: a bucket's name has 3 to 63 characters of these and begins with a letter or a digit.
fn names_bucket_and_key(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let parts = path.strip_prefix('/').and_then(|path| path.split_once('/'));
    parts.is_some_and(|(bucket, key)| {
        (3..=63).contains(&bucket.len())
            && bucket.bytes().next().is_some_and(is_plain)
            && bucket.bytes().all(|byte| is_plain(byte) || b".-".contains(&byte))
            && !key.is_empty()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The addresses of the Amazon S3 User Guide and of AWS's table of S3 endpoints.
    #[test]
    fn s3s_own_addresses_are_in_s3() {
        for (partition, location) in [
            ("aws", "s3://amzn-s3-demo-bucket/setup.sh"),
            (
                "aws",
                "https://amzn-s3-demo-bucket.s3.us-west-2.amazonaws.com/puppy.png",
            ),
            ("aws", "https://amzn-s3-demo-bucket.s3.amazonaws.com/puppy.png"),
            (
                "aws",
                "https://s3.us-west-2.amazonaws.com/amzn-s3-demo-bucket/puppy.png",
            ),
            ("aws", "https://s3.amazonaws.com/amzn-s3-demo-bucket/puppy.png"),
            (
                "aws",
                "https://amzn-s3-demo-bucket.s3.dualstack.us-west-2.amazonaws.com/puppy.png",
            ),
            (
                "aws",
                "https://s3.dualstack.us-west-2.amazonaws.com/amzn-s3-demo-bucket/puppy.png",
            ),
            (
                "aws",
                "https://amzn-s3-demo-bucket.s3-us-west-2.amazonaws.com/puppy.png",
            ),
            (
                "aws",
                "https://s3-eu-west-1.amazonaws.com/amzn-s3-demo-bucket/puppy.png",
            ),
            (
                "aws",
                "https://amzn-s3-demo-bucket.s3-fips.us-east-1.amazonaws.com/puppy.png",
            ),
            (
                "aws",
                "https://amzn-s3-demo-bucket.s3-fips.dualstack.ca-west-1.amazonaws.com/puppy.png",
            ),
            ("aws", "https://www.example.com.s3.us-east-1.amazonaws.com/a.html"),
            ("aws", "https://Bucket.S3.US-West-2.AmazonAWS.com/puppy.png"),
            (
                "aws",
                "https://bucket.s3.us-west-2.amazonaws.com/a.sh?X-Amz-Signature=abc#x",
            ),
            ("aws-us-gov", "https://bucket.s3.us-gov-west-1.amazonaws.com/a.sh"),
            ("aws-cn", "https://bucket.s3.cn-north-1.amazonaws.com.cn/a.sh"),
            ("aws-eusc", "https://bucket.s3.eusc-de-east-1.amazonaws.eu/a.sh"),
            ("aws-iso", "https://bucket.s3.us-iso-east-1.c2s.ic.gov/a.sh"),
            ("aws-iso-b", "https://bucket.s3.us-isob-east-1.sc2s.sgov.gov/a.sh"),
            (
                "aws-iso-e",
                "https://bucket.s3.eu-isoe-west-1.cloud.adc-e.uk/a.sh",
            ),
            (
                "aws-iso-f",
                "https://bucket.s3.us-isof-south-1.csp.hci.ic.gov/a.sh",
            ),
        ] {
            assert!(is_in_s3(location, partition), "{location}");
        }
    }

    #[test]
    fn what_only_looks_like_s3_is_outside() {
        for location in [
            "https://example.com/a.sh",
            "https://bucket.s3.us-west-2.amazonaws.com.evil.example/a.sh",
            "https://bucket.s3.us-west-2.amazonaws.com@evil.example/a.sh",
            "https://evil.example/bucket.s3.us-west-2.amazonaws.com/a.sh",
            "https://evil.example?bucket.s3.us-west-2.amazonaws.com/a.sh",
            "https://evil.example#.s3.us-west-2.amazonaws.com/a.sh",
            "https://evil.example\\.s3.us-west-2.amazonaws.com/a.sh",
            "https://evil.example%2f.s3.us-west-2.amazonaws.com/a.sh",
            "https://evil.example:443.s3.us-west-2.amazonaws.com/a.sh",
            "https://bucket.s3.us-west-2.amazonaws.com:8443/a.sh",
            "https://user@bucket.s3.us-west-2.amazonaws.com/a.sh",
            "https://bucket.s3.us-west-2.amazonaws.com./a.sh",
            "https://.s3.us-west-2.amazonaws.com/a.sh",
            "https://bucket..s3.us-west-2.amazonaws.com/a.sh",
            "https://buckets3.us-west-2.amazonaws.com/a.sh",
            "https://xs3.amazonaws.com/bucket/a.sh",
            "https://bucket.s3.us-west-2xamazonaws.com/a.sh",
            "https://bucket.s3.us-west-2.evilamazonaws.com/a.sh",
            "https://bucket.s3.cn-north-1.amazonaws.com.cn/a.sh",
            "https://bucket.s3.eusc-de-east-1.amazonaws.eu/a.sh",
            "https://ec2-203-0-113-25.compute-1.amazonaws.com/a.sh",
            "https://s3.compute-1.amazonaws.com/bucket/a.sh",
            "https://s3.ec2-203-0-113-25.compute-1.amazonaws.com/bucket/a.sh",
            "https://s3.us-west-2.elb.amazonaws.com/bucket/a.sh",
            "https://a1b2c3d4e5.execute-api.us-east-1.amazonaws.com/s3/a.sh",
            "https://a1b2c3d4e5.lambda-url.us-east-1.on.aws/a.sh",
            "https://bucket.s3-website-us-east-1.amazonaws.com/a.sh",
            "https://bucket.s3-accelerate.amazonaws.com/a.sh",
            "https://point-123456789012.s3-accesspoint.us-west-2.amazonaws.com/a.sh",
            "https://s3.amazonaws.com",
            "https://s3.amazonaws.com/",
            "https://s3.amazonaws.com/bucket",
            "https://s3.amazonaws.com//bucket/a.sh",
            "https://s3.amazonaws.com/bucket/?list-type=2",
            "https://s3.amazonaws.com/.../a.sh",
            "https://bucket.s3.amazonaws.com",
            "https://bucket.s3.amazonaws.com/",
            "https://bucket.s3.amazonaws.com/?list-type=2",
            "https://bucket.s3.amazonaws.com?a.sh",
            "https://s3.amazonaws.com/%2e%2e/a.sh",
            "https://s3.amazonaws.com?/bucket/a.sh",
            "HTTPS://bucket.s3.amazonaws.com/a.sh",
            "http://bucket.s3.amazonaws.com/a.sh",
            "S3://bucket/a.sh",
            " s3://bucket/a.sh",
            "",
        ] {
            assert!(!is_in_s3(location, "aws"), "{location}");
        }
        assert!(!is_in_s3(
            "https://bucket.s3.us-west-2.amazonaws.com/a.sh",
            "aws-mars"
        ));
    }
}
