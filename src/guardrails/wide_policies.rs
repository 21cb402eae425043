//! AWS's own policies that are too wide to be let pass by a pattern. `tests/deploy/test_allowlist.py` compares both lists
//! with the text of every policy of AWS.

/// They allow everything, or everything in IAM, on every resource and without a condition: whoever has one can have any
/// right of the account.
pub const UNBOUNDED: [&str; 4] = [
    "AdministratorAccess",
    "AdministratorAccess-Amplify",
    "IAMFullAccess",
    "PowerUserAccess",
];

/// They allow `iam:PassRole` on every role, to any service or to one that runs what a node tells it to (EC2, Lambda, tasks
/// of ECS), or to assign whole accounts in IAM Identity Center: a node can get at what other roles may.
pub const WIDE: [&str; 22] = [
    "AWSCodeDeployRoleForECS",
    "AWSElasticBeanstalkManagedUpdatesCustomerRolePolicy",
    "AWSLambda_FullAccess",
    "AWSMarketplaceFullAccess",
    "AWSRoboMakerServiceRolePolicy",
    "AWSSSOMasterAccountAdministrator",
    "AWSSSOMemberAccountAdministrator",
    "AdministratorAccess-AWSElasticBeanstalk",
    "AmazonDynamoDBFullAccesswithDataPipeline",
    "AmazonECS_FullAccess",
    "AmazonEKSComputePolicy",
    "AmazonElasticMapReduceFullAccess",
    "AmazonSageMakerPipelinesIntegrations",
    "EC2FastLaunchFullAccess",
    "EC2ImageBuilderExecutionPolicy",
    "service-role/AWSBackupServiceRolePolicyForRestores",
    "service-role/AWSBatchServiceRole",
    "service-role/AWSElasticBeanstalkService",
    "service-role/AmazonEC2ContainerServiceEventsRole",
    "service-role/AmazonEC2SpotFleetTaggingRole",
    "service-role/AmazonElasticMapReduceRole",
    "service-role/ServerMigrationServiceLaunchRole",
];
